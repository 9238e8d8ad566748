from django.urls import path

from .views import Obtain, Refresh, Verify

urlpatterns = [
    path("v1/auth/jwt/obtain/", Obtain.as_view()),
    path("v1/auth/jwt/refresh/", Refresh.as_view()),
    path("v1/auth/jwt/verify/", Verify.as_view()),
]
