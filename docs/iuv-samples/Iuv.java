// Registers a signed-in user with the web store; gives back the URL to send the browser to.

import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.Collectors;

public final class Iuv {
    /** 400: something that was sent is wrong; what, in the store's words. */
    public static final class Refused extends Exception {
        Refused(String why) { super(why); }
    }

    /** The store cannot be reached, or is at fault. */
    public static final class Unavailable extends Exception {
        Unavailable(String why) { super(why); }
    }

    private static final HttpClient CLIENT = HttpClient.newBuilder()
        .followRedirects(HttpClient.Redirect.NEVER).connectTimeout(Duration.ofSeconds(5)).build();

    public static String register(Map<String, String> user) throws Refused, Unavailable, InterruptedException {
        Map<String, String> all = new LinkedHashMap<>();
        all.put("account", System.getenv("IUV_ACCOUNT"));
        all.put("key", System.getenv("IUV_KEY"));
        all.putAll(user);
        String query = all.entrySet().stream()
            .map(entry -> entry.getKey() + "=" + URLEncoder.encode(entry.getValue(), StandardCharsets.UTF_8))
            .collect(Collectors.joining("&"));
        URI url = URI.create(System.getenv("IUV_URL") + "/WebStore/Security/AuthenticateUser.aspx?" + query);
        HttpResponse<String> answer;
        try {
            HttpRequest request = HttpRequest.newBuilder(url).timeout(Duration.ofSeconds(20)).build();
            answer = CLIENT.send(request, HttpResponse.BodyHandlers.ofString(StandardCharsets.UTF_8));
        } catch (IOException why) {
            // What went wrong may name the whole address, with the key.
            throw new Unavailable("the store does not answer");
        }
        switch (answer.statusCode()) {
            case 200: return answer.body();
            case 400: throw new Refused(answer.body());
            default: throw new Unavailable("the store answered " + answer.statusCode());
        }
    }

    // In your servlet: response.sendRedirect(Iuv.register(user));
    public static void main(String[] arguments) throws InterruptedException {
        Map<String, String> user = new LinkedHashMap<>();
        for (String pair : arguments) {
            String[] parts = pair.split("=", 2);
            user.put(parts[0], parts[1]);
        }
        try {
            System.out.println(register(user));
        } catch (Refused | Unavailable why) {
            System.err.println(why.getClass().getSimpleName() + ": " + why.getMessage().replace('|', '\n'));
            System.exit(1);
        }
    }
}
