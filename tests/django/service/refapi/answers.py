def answer(token, user=None, request=None):
    return {"type": "JWT", "token": token, "expires_in": 3600}
