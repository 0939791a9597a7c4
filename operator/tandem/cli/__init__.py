"""`kubectl tandem`: the everyday questions and the big red button.

main -> status | hold | shift | plan | approve | drill | history | apply | certs
contexts: the clusters of the kubeconfig;   table: text in columns
"""
