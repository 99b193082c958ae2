#include "supervisor/core/journal/event.h"

#include "supervisor/core/journal/typed_event.h"

namespace bulkhead {

namespace {

// The envelope in the same notation as the bodies.
struct Envelope {
  template <class Self, class Visit>
  static void fields(Self& event, Visit&& visit) {
    visit("seq", event.seq), visit("time_unix_ms", event.time_unix_ms), visit("run", event.run);
    visit("agent", event.agent), visit("attempt", event.attempt), visit("type", event.type);
    visit("version", event.version);
  }
};

}  // namespace

nlohmann::json to_json(const Event& event) {
  nlohmann::json json = nlohmann::json::object();
  BodyWriter writer(json);
  Envelope::fields(event, writer);
  json["body"] = event.body;
  return json;
}

Result<Event> event_from_json(const nlohmann::json& json) {
  Event event;
  BodyReader reader(json);
  Envelope::fields(event, reader);
  if (!reader.problem().empty()) return fail("read", "event", reader.problem());
  auto body = json.find("body");
  if (body == json.end() || !body->is_object()) return fail("read", "event", "'body' is missing or not an object");
  event.body = *body;
  return event;
}

}  // namespace bulkhead
