import com.nimbusds.jose.jwk.JWKSet;
import com.nimbusds.jose.jwk.source.ImmutableJWKSet;
import com.nimbusds.jose.proc.SecurityContext;
import com.nimbusds.jose.util.JSONObjectUtils;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Judges the golden vectors by the Java program of docs/assertions.md: a JSON object on standard
 * output says of every case whether it was accepted.
 *
 * <pre>java Vectors VECTORS</pre>
 */
final class Vectors {
  public static void main(String[] args) throws Exception {
    var vectors = JSONObjectUtils.parse(Files.readString(Path.of(args[0])));
    var keys = new ImmutableJWKSet<SecurityContext>(JWKSet.parse(JSONObjectUtils.getJSONObject(vectors, "jwks")));
    var clock = Clock.fixed(Instant.ofEpochSecond(JSONObjectUtils.getLong(vectors, "now")), ZoneOffset.UTC);
    var accepted = new TreeMap<String, Object>();
    for (var c : JSONObjectUtils.getJSONObjectArray(vectors, "cases")) {
      if (c.get("layer").equals("service") || !c.get("profile").equals("request-bound")) continue;
      accepted.put((String) c.get("name"), accepts(c, keys, clock));
    }
    System.out.println(JSONObjectUtils.toJSONString(accepted));
  }

  private static boolean accepts(Map<String, Object> c, ImmutableJWKSet<SecurityContext> keys, Clock clock) throws Exception {
    var request = JSONObjectUtils.getJSONObject(c, "request");
    var header = (List<?>) JSONObjectUtils.getJSONArray(request, "headers").get(0);
    try {
      var claims = Assertions.verify((String) header.get(1), keys, clock);
      if (c.get("layer").equals("token")) return true;
      var body = ((String) request.get("body")).getBytes(StandardCharsets.UTF_8);
      return Binding.bound(claims, (String) request.get("method"), (String) request.get("url"), body);
    } catch (Exception refused) {
      return false;
    }
  }
}
