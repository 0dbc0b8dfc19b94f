-- Sends one operation to all cards in turn of chance, for wrk:
--
--     TOKEN=… wrk -s call.lua URL -- status|set|verify|change CARDS SEED
--
-- CARDS is the file that scripts/bench/load writes. The requests are made beforehand, so that making
-- them is not measured; a change has two parts, between which its msg_id stands, 12 digits that come once. The last line of the output is for scripts/bench/run to read.

local requests, cards, calls = {}, 0, 0

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
   change = function(_, _, _, block, pan)
      local text = post("/CardServices/Transaction/V1/CardPinChange",
         '{"NISrvRequest":{"request_card_pin_change":{"header":{"msg_id":"000000000000","msg_type":"TRANSACTION",' ..
         '"msg_function":"REQ_CARD_PIN_CHANGE","src_application":"BENCH","target_application":"PCMS",' ..
         '"timestamp":"2026-11-26T12:00:00Z","bank_id":"NIC"},"body":{"card_number":"' .. pan ..
         '","card_sequence_number":"01","card_expiry_date":"3112","encrypted_old_pin":"' .. block ..
         '","encrypted_new_pin":"' .. block .. '","encryption_method":"SYMMETRIC_ENC","encryption_key_id":"zpk-bench"}}}}')
      local head, tail = text:match("^(.-)000000000000(.*)$")
      return {head, tail}
   end,
}

function init(args)
   local operation = operations[args[1]]
   for line in io.lines(args[2]) do
      cards = cards + 1
      requests[cards] = operation(line:match("^(%S+) (%S+) (%S+) (%S+) (%S+)$"))
   end
   math.randomseed(tonumber(args[3]))
   if args[1] == "change" then
      local began = os.time() % 1000000
      request = function()
         calls = calls + 1
         local parts = requests[math.random(cards)]
         return parts[1] .. string.format("%06d%06d", began, calls) .. parts[2]
      end
   end
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
