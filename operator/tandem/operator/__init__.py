"""The operator process: the door to this cluster's Kubernetes API.

kopf (own thread) -> objects.Table -> publish, shifts, hold -> store
store -> engine.picture.Picture -> mirror (status), story (Events), deployments (ConfigMaps, annotations, replicas)
"""
