"""The engine process: observer, coordinator, actuator. No kopf, no Kubernetes client."""
