"""The operator process: the door to this cluster's Kubernetes API.

kopf (own thread) -> objects.Table -> publish, shifts, hold -> store
store -> view.StoreView -> mirror (status), story (Events), deployments (ConfigMaps, annotations, replicas)
"""
