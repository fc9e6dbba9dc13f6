"""What a component is, and how a folder of `defs.yaml` files becomes components.

Nothing here needs Dagster, and nothing is imported before it is asked for: the process that runs
writers lives in the project's environment and loads no more than it uses.

- `model`: the base class of components and what they are told; `declaration`: the plain values that
  the rest of this package knows of a component.
- `source`: loads a project by the name of its defs module, and runs one writer. `loader`: loads a
  folder, gathering every error in it.
- `documents`: what one document of a `defs.yaml` says; `yaml_source` and `yaml_values`: reading the
  file and remembering where everything stands; `templates`: filling in `{{ env.NAME }}` and
  `{{ project_root }}`.
- `component_types`: finding the class that a document names; `signatures`: what that class accepts;
  `attributes` and `scalars`: checking the attributes and converting them to it.
- `project_code`: running code of the project so that whatever it raises becomes an error of ours;
  `wording`: how errors call values, types and names.
"""
