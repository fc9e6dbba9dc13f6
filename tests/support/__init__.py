"""What the tests need around the package: projects, front ends, environments and services."""
