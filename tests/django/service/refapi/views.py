from rest_framework import serializers
from rest_framework_jwt.serializers import JSONWebTokenSerializer
from rest_framework_jwt.views import ObtainJSONWebToken, RefreshJSONWebToken, VerifyJSONWebToken


class LoginSerializer(JSONWebTokenSerializer):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["email"] = serializers.EmailField()


class Obtain(ObtainJSONWebToken):
    serializer_class = LoginSerializer


class Refresh(RefreshJSONWebToken):
    pass


class Verify(VerifyJSONWebToken):
    pass
