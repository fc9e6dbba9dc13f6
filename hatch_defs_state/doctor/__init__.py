"""What in a project, and around it, makes builds ship old state or none: one check a file."""
