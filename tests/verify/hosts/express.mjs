import { app } from '../generated/express.mjs'

app.listen(process.env.PORT, '127.0.0.1')
