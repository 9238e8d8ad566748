require "json"
require "webrick"
require_relative "../generated/ruby_recipe"

server = WEBrick::HTTPServer.new(
  BindAddress: "127.0.0.1", Port: Integer(ENV.fetch("PORT")), AccessLog: [], Logger: WEBrick::Log.new(File::NULL)
)
server.mount_proc("/account") do |request, response|
  # WEBrick joins several headers with a comma.
  claims = verify(request["authorization"])
  response.body = JSON.generate(claims.slice("user_id", "email"))
rescue JWT::DecodeError
  response.status = 401
  response.body = "{}"
ensure
  response.content_type = "application/json"
end
%w[INT TERM].each { |signal| trap(signal) { server.shutdown } }
server.start
