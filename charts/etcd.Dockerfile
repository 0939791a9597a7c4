# The store's member: the etcd that `python -m lab tools` builds from its pinned Go module, and nothing else.
# Build context is the repository's top. Where a registry is at hand, any etcd 3.6 image does as well: set etcd.image.
FROM scratch
COPY out/bin/etcd /usr/local/bin/etcd
ENTRYPOINT ["/usr/local/bin/etcd"]
