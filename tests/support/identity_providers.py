"""Tokens as identity providers issue them: the claims of the providers' own documentation, signed by a key of a test.

Entra ID: access tokens (v2.0), whose `iat` lies five minutes back; Auth0: 24 hours and namespaced claims; Keycloak:
roles in `realm_access`; Cognito: no `aud`, groups in `cognito:groups`.
"""

from typing import Any

from tests.support.tokens import NOW

NAMESPACE = "https://grounds.example.org/"
ENTRA: dict[str, Any] = {
    "aud": "11111111-2222-3333-4444-555555555555", "iss": "https://login.example.org/tenant/v2.0", "iat": NOW - 300,
    "nbf": NOW - 300, "exp": NOW - 300 + 5_400, "aio": "opaque", "azp": "66666666-7777-8888-9999-000000000000",
    "azpacr": "1", "oid": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "roles": ["TRAINING_CLIENT"], "rh": "opaque",
    "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "tid": "tenant", "uti": "opaque", "ver": "2.0",
    "grounds_client": "trainer", "grounds_purpose": "GENAI_TRAINING",
}  # fmt: skip
AUTH0: dict[str, Any] = {
    "iss": "https://tenant.example.org/", "sub": "abc123@clients", "aud": "https://grounds.example.org", "iat": NOW,
    "exp": NOW + 86_400, "gty": "client-credentials", "azp": "abc123", f"{NAMESPACE}role": "TRAINING_CLIENT",
    f"{NAMESPACE}client": "trainer", f"{NAMESPACE}purpose": "GENAI_TRAINING",
}  # fmt: skip
KEYCLOAK: dict[str, Any] = {
    "exp": NOW + 300, "iat": NOW, "jti": "opaque", "iss": "https://id.example.org/realms/platform",
    "aud": ["grounds", "account"], "sub": "f0000000-0000-4000-8000-000000000000", "typ": "Bearer", "azp": "trainer",
    "acr": "1", "realm_access": {"roles": ["default-roles-platform", "offline_access", "TRAINING_CLIENT"]},
    "resource_access": {"account": {"roles": ["view-profile"]}}, "scope": "email profile", "clientHost": "192.0.2.1",
    "purpose": "GENAI_TRAINING",
}  # fmt: skip
COGNITO: dict[str, Any] = {
    "sub": "trainer", "token_use": "access", "scope": "grounds/train", "auth_time": NOW, "version": 2, "iat": NOW,
    "iss": "https://cognito-idp.example.org/eu-west-1_pool", "exp": NOW + 3_600, "jti": "opaque",
    "client_id": "trainer", "cognito:groups": ["everyone", "TRAINING_CLIENT"], "purpose": "GENAI_TRAINING",
}  # fmt: skip
PROVIDERS = {"Entra ID": ENTRA, "Auth0": AUTH0, "Keycloak": KEYCLOAK, "Cognito": COGNITO}
