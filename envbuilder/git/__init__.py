"""Code from git: mirrors, credentials, submodules, large files."""
