-- Sends one operation to all cards in turn of chance, for wrk:
--
--     TOKEN=… wrk -s call.lua URL -- status|set|verify CARDS SEED
--
-- CARDS is the file that scripts/bench/load writes. The requests are made beforehand, so that making
-- them is not measured. The last line of the output is for scripts/bench/run to read.

local requests, cards = {}, 0

local function post(path, body)
   return "POST " .. path .. " HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer " .. os.getenv("TOKEN") ..
      "\r\nContent-Type: application/json\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end

local operations = {
   status = function(token)
      return "GET /api/v1/cards/" .. token .. "/pin/status HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer " ..
         os.getenv("TOKEN") .. "\r\n\r\n"
   end,
   set = function(token, _, pin)
      return post("/api/v1/cards/" .. token .. "/pin", '{"pin":"' .. pin .. '"}')
   end,
   verify = function(_, id, _, block)
      return post("/issuer/v1/cards/" .. id .. "/pin/verifications",
         '{"pinBlock":"' .. block .. '","format":"ISO-0","keyId":"zpk-bench"}')
   end,
}

function init(args)
   local operation = operations[args[1]]
   for line in io.lines(args[2]) do
      cards = cards + 1
      requests[cards] = operation(line:match("^(%S+) (%S+) (%S+) (%S+)$"))
   end
   math.randomseed(tonumber(args[3]))
end

function request()
   return requests[math.random(cards)]
end

-- Calls, microseconds, then what went wrong: connecting, reading, writing, waiting too long, a status of
-- 400 and more.
function done(summary)
   local e = summary.errors
   io.write(string.format("bench %d %d %d %d %d %d %d\n", summary.requests, summary.duration, e.connect, e.read, e.write,
      e.timeout, e.status))
end
