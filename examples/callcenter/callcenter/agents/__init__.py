"""The agents of a call centre, a thousand and more in one process: desktop client, software phone, and their diary.

`phone` and `agent` are rules on top of `callcenter.sip` and `callcenter.session`; `connection` and `floor` are the
edges; `timeline` writes down what happened to whom.
"""
