from django_host import serve

import drf_settings

serve(drf_settings)
