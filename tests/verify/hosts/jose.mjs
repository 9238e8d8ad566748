import { createServer } from 'node:http'

const { verifyAuthorization, KeysUnavailable } = await import(`../generated/${process.argv[2]}`)

const server = createServer(async (request, response) => {
  try {
    const { user_id, email } = await verifyAuthorization(request.headersDistinct.authorization?.join())
    response.setHeader('Content-Type', 'application/json')
    response.end(JSON.stringify({ user_id, email }))
  } catch (error) {
    if (KeysUnavailable !== undefined && error instanceof KeysUnavailable) response.writeHead(503).end()
    else response.writeHead(401, { 'WWW-Authenticate': 'Bearer' }).end()
  }
})
server.listen(process.env.PORT, '127.0.0.1')
