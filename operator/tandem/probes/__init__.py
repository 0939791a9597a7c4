"""Probes: small questions to softswitches, CTIs and engines, over the network that agents and carriers use.

prober.NetworkProber   implements engine.ports.Prober; decides whether a failure counts
  sip                  SIP OPTIONS over UDP
  sign_in, call        deep probes: a test agent signs in, and calls itself (sip_message)
  http                 health by HTTP
  stall                stalls of our own event loop
  reference            whether our own process can still make a connection
"""
