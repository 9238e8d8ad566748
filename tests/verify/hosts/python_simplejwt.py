from django_host import serve

import simplejwt_settings

serve(simplejwt_settings)
