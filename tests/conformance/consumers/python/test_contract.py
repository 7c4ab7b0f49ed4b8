from grounds_client.contract import grounds_contract

test_contract = grounds_contract("operations/", schema="schema.graphql", role="TRAINING_CLIENT")
