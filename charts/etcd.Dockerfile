# The store's member: etcd and etcdctl as the lab builds them from the pins of lab/tools, and nothing else.
#
# The build context is the repository's top, and `python -m lab images` fills out/bin/ before it builds. By hand:
#   cd lab/tools
#   CGO_ENABLED=0 go build -trimpath -o ../../out/bin/etcd go.etcd.io/etcd/server/v3
#   CGO_ENABLED=0 go build -trimpath -o ../../out/bin/etcdctl go.etcd.io/etcd/etcdctl/v3
#   cd - && docker build -f charts/etcd.Dockerfile -t tandem/etcd:dev .
# Any other image of etcd 3.6 does as well: set etcd.image in the chart.
FROM scratch
COPY out/bin/etcd out/bin/etcdctl /usr/local/bin/
ENTRYPOINT ["/usr/local/bin/etcd"]
