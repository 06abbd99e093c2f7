"""The services of ClearML's API client, for scripts that use it; each is thin over ``Client``."""
