// Package siem hands the audit trail to who collects logs: as lines of JSON or in the Common Event Format (CEF), to a file, a stream
// or a syslog server over TLS (RFC 5424, RFC 5425).
//
// Events come in the order of their ids, and only once none can come before them any more (see [pin.AuditQuery]). How far it has
// come stands in a cursor's file, which is replaced before and after each batch. Before one is written to a file, the cursor has how long that
// is, and the batch itself; after it, how long the file has become. So whoever goes on after a process that was killed, or a machine that has lost
// its power, knows what is behind the cursor: the batch, or a part of it, is cut off and written anew, and a file with anything else there is
// somebody else's, or was altered, and is refused. A file has every event exactly once. Each step is on the disk before the next:
//
//  1. the file, locked, made if there is none; its name
//  2. the cursor with the batch that comes, beside the former one; its name
//  3. the batch, at the file's end
//  4. the cursor after it, in the same way
//
// What was sent cannot be cut off: a batch whose end the receiver did not confirm is sent again, and the event's id tells who has it already.
//
// It takes no key, and knows events and neither cards nor a database.
package siem
