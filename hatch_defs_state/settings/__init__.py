"""One model for every place that configures us: TOML tables, environment, command line.

`model` has the settings with their defaults and help texts, `kinds` reads single values, `layers`
reads tables, environment and options and puts them together.
"""
