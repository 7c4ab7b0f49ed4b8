from app.contract_plugin import grounds_contract

test_contract = grounds_contract("operations/", schema="schema.graphql", role="TRAINING_CLIENT")
