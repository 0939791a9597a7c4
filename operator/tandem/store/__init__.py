"""The store: a typed client of etcd 3.6's JSON gateway, and the coordinator's election on it.

client.StoreClient        implements engine.ports.Store: one request, one member after the other
  wire                    the gateway's requests and answers as models
  faults                  what a member's refusal means, in the ports' error tree
  endpoints               which member is asked, and which one next
  watch                   the stream of changes
election.CoordinatorElection   who may commit; on any Store and Clock
  lease                   a lease that is kept alive, and until when it surely lives
  preference              who should be coordinator, as pure rules
"""
