// System.Net.WebClient and HttpUtility, as in pages of ASP.NET 2.0: blanks become +, %xx in lower case.

using System;
using System.IO;
using System.Net;
using System.Text;
using System.Web;

public static class WebClientOfOld
{
    public static int Main(string[] arguments)
    {
        var query = new StringBuilder("?key=" + Environment.GetEnvironmentVariable("IUV_KEY"));
        foreach (var pair in arguments)
        {
            var at = pair.IndexOf('=');
            query.Append("&" + pair.Substring(0, at) + "=" + HttpUtility.UrlEncode(pair.Substring(at + 1)));
        }
        query.Append("&account=" + Environment.GetEnvironmentVariable("IUV_ACCOUNT"));
        try
        {
            using (var client = new WebClient())
            {
                client.Encoding = Encoding.UTF8;
                var url = client.DownloadString(
                    Environment.GetEnvironmentVariable("IUV_URL") + "/WebStore/Security/AuthenticateUser.aspx" + query);
                Console.Write(new Uri(url).AbsoluteUri);
                return 0;
            }
        }
        catch (WebException error)
        {
            Console.Error.WriteLine(error.Status);
            if (error.Response != null) Console.Error.WriteLine(new StreamReader(error.Response.GetResponseStream()).ReadToEnd());
            return 1;
        }
    }
}
