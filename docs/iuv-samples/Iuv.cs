// Registers a signed-in user with the web store; gives back the URL to send the browser to.

using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net;
using System.Text;

/// <summary>400: something that was sent is wrong; what, in the store's words.</summary>
public sealed class RefusedException : Exception
{
    public RefusedException(string why) : base(why) { }
}

/// <summary>The store cannot be reached, or is at fault.</summary>
public sealed class UnavailableException : Exception
{
    public UnavailableException(string why) : base(why) { }
}

public static class Iuv
{
    public static string Register(IDictionary<string, string> user)
    {
        var all = new Dictionary<string, string>(user)
        {
            ["account"] = Environment.GetEnvironmentVariable("IUV_ACCOUNT"),
            ["key"] = Environment.GetEnvironmentVariable("IUV_KEY"),
        };
        var query = string.Join("&", all.Select(pair => pair.Key + "=" + Uri.EscapeDataString(pair.Value)));
        var url = Environment.GetEnvironmentVariable("IUV_URL") + "/WebStore/Security/AuthenticateUser.aspx?" + query;
        ServicePointManager.SecurityProtocol = SecurityProtocolType.Tls12;
        var request = (HttpWebRequest)WebRequest.Create(url);
        request.AllowAutoRedirect = false;
        request.Timeout = 20000;
        try
        {
            using (var answer = (HttpWebResponse)request.GetResponse())
            {
                if (answer.StatusCode == HttpStatusCode.OK) return Body(answer);
                throw new UnavailableException("the store answered " + (int)answer.StatusCode);
            }
        }
        catch (WebException why)
        {
            var answer = why.Response as HttpWebResponse;
            if (answer == null) throw new UnavailableException("the store does not answer: " + why.Status);
            if (answer.StatusCode == HttpStatusCode.BadRequest) throw new RefusedException(Body(answer));
            throw new UnavailableException("the store answered " + (int)answer.StatusCode);
        }
    }

    private static string Body(WebResponse answer)
    {
        using (var reader = new StreamReader(answer.GetResponseStream(), Encoding.UTF8)) return reader.ReadToEnd();
    }

    // In your page: Response.Redirect(Iuv.Register(user), true);
    public static int Main(string[] arguments)
    {
        var user = arguments.Select(pair => pair.Split(new[] { '=' }, 2)).ToDictionary(pair => pair[0], pair => pair[1]);
        try
        {
            Console.WriteLine(Register(user));
            return 0;
        }
        catch (Exception why) when (why is RefusedException || why is UnavailableException)
        {
            Console.Error.WriteLine(why.GetType().Name + ": " + why.Message.Replace('|', '\n'));
            return 1;
        }
    }
}
