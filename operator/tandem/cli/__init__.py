"""`kubectl tandem`: the everyday questions and the big red button.

main -> status | hold | shift | apply | certs;   contexts: the clusters of the kubeconfig;   table: text in columns
"""
