// HttpURLConnection, as in servlets of long ago: the first line of the answer is the URL, and the reason must be "OK".

import java.io.BufferedReader;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.HttpURLConnection;
import java.net.URL;
import java.net.URLEncoder;

public class FirstLine {
    public static void main(String[] arguments) throws Exception {
        StringBuilder query = new StringBuilder("account=" + System.getenv("IUV_ACCOUNT"));
        for (String pair : arguments) {
            String[] parts = pair.split("=", 2);
            query.append('&').append(parts[0]).append('=').append(URLEncoder.encode(parts[1], "UTF-8"));
        }
        query.append("&key=").append(System.getenv("IUV_KEY"));
        URL url = new URL(System.getenv("IUV_URL") + "/WebStore/Security/AuthenticateUser.aspx?" + query);
        HttpURLConnection connection = (HttpURLConnection) url.openConnection();
        connection.setRequestProperty("Accept-Language", "it");
        boolean fine = connection.getResponseCode() == 200 && "OK".equals(connection.getResponseMessage());
        InputStream stream = fine ? connection.getInputStream() : connection.getErrorStream();
        BufferedReader reader = new BufferedReader(new InputStreamReader(stream, "UTF-8"));
        String line = reader.readLine();
        if (!fine) {
            System.err.println(connection.getResponseCode() + " " + line);
            System.exit(1);
        }
        System.out.print(new URL(line));
    }
}
