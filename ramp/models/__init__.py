"""Policy and world model. `Agent` joins them; `manifest` takes them to and from a registry."""
