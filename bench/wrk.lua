-- Sends the request bodies of the file BODIES in turn, and prints the result as JSON on stderr.
-- DELAY_MS: each connection waits between requests, for a random time with this mean.
-- BEARER: the tokens of the bodies are in the header `Authorization` of requests without a body.
-- DOCUMENT: requests are GET without a body.
-- ADDRESSES: requests come from this number of client addresses, and the result contains the number of responses by status.
local requests, sent, threads = {}, 0, {}
local delay_ms, addresses = tonumber(os.getenv("DELAY_MS")), tonumber(os.getenv("ADDRESSES"))

function setup(thread)
    table.insert(threads, thread)
end

function init()
    wrk.headers["Content-Type"] = "application/json"
    for body in io.lines(os.getenv("BODIES")) do
        if addresses then
            wrk.headers["X-Forwarded-For"] = "192.0.2." .. #requests % addresses
        end
        if os.getenv("BEARER") then
            wrk.headers["Authorization"] = "Bearer " .. body:match('"token": "([^"]+)"')
        end
        if os.getenv("BEARER") or os.getenv("DOCUMENT") then
            table.insert(requests, wrk.format("GET"))
        else
            table.insert(requests, wrk.format("POST", nil, nil, body))
        end
    end
end

function request()
    sent = sent + 1
    return requests[sent % #requests + 1]
end

-- The functions `delay` and `response` make wrk slower, so they exist only where they are used.
if delay_ms then
    function delay()
        return math.random(0, 2 * delay_ms)
    end
end

if addresses then
    statuses = {}
    function response(status)
        local key = tostring(status)
        statuses[key] = (statuses[key] or 0) + 1
    end
end

function done(summary, latency)
    local errors, counts = summary.errors, {}
    for status, count in pairs(threads[1]:get("statuses") or {}) do
        table.insert(counts, ('"%s": %d'):format(status, count))
    end
    local failed = errors.connect + errors.read + errors.write + errors.timeout + errors.status
    local p50, p99 = latency:percentile(50) / 1e3, latency:percentile(99) / 1e3
    local json = '{"requests": %d, "seconds": %f, "failed": %d, "p50": %f, "p99": %f, "statuses": {%s}}\n'
    io.stderr:write(json:format(summary.requests, summary.duration / 1e6, failed, p50, p99, table.concat(counts, ", ")))
end
