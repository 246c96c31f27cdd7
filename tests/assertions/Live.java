import com.nimbusds.jose.jwk.source.JWKSource;
import com.nimbusds.jose.proc.SecurityContext;
import com.nimbusds.jose.util.JSONObjectUtils;
import com.nimbusds.jwt.JWTClaimsSet;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.time.Clock;
import java.time.Duration;
import java.util.Map;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/**
 * Judges requests as they come by the Java program of docs/assertions.md. A line of standard input
 * is a request and how far to judge it; a line of standard output says whether it was accepted, and
 * if not what refused it.
 *
 * <pre>java Live CA.pem</pre>
 */
final class Live {
  private static final Used USED = new Used();

  public static void main(String[] args) throws Exception {
    trust(Path.of(args[0]));
    var keys = Assertions.keys();
    var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (var line = lines.readLine(); line != null; line = lines.readLine()) {
      var why = refusal(JSONObjectUtils.parse(line), keys);
      System.out.println(JSONObjectUtils.toJSONString(Map.of("accepted", why.isEmpty(), "why", why)));
    }
  }

  private static String refusal(Map<String, Object> request, JWKSource<SecurityContext> keys) throws Exception {
    var clock = Clock.offset(Clock.systemUTC(), Duration.ofSeconds(JSONObjectUtils.getLong(request, "ahead")));
    JWTClaimsSet claims;
    try {
      claims = Assertions.verify((String) request.get("token"), keys, clock);
    } catch (Exception refused) {
      return refused.getClass().getSimpleName();
    }
    if (request.get("part").equals("token")) return "";
    var body = ((String) request.get("body")).getBytes(StandardCharsets.UTF_8);
    if (!Binding.bound(claims, (String) request.get("method"), (String) request.get("url"), body)) return "bound";
    return request.get("part").equals("once") && !USED.first(claims) ? "first" : "";
  }

  /** Has HTTPS connections trust the certificates of a PEM file, and no others. */
  private static void trust(Path pem) throws Exception {
    var store = KeyStore.getInstance(KeyStore.getDefaultType());
    store.load(null, null);
    try (var in = Files.newInputStream(pem)) {
      for (var certificate : CertificateFactory.getInstance("X.509").generateCertificates(in)) {
        store.setCertificateEntry("ca" + store.size(), certificate);
      }
    }
    var managers = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    managers.init(store);
    var context = SSLContext.getInstance("TLS");
    context.init(null, managers.getTrustManagers(), null);
    HttpsURLConnection.setDefaultSSLSocketFactory(context.getSocketFactory());
  }
}
