package example.pin

import android.annotation.SuppressLint
import android.app.Activity
import android.content.Intent
import android.net.Uri
import android.os.Bundle
import android.view.WindowManager
import android.webkit.JavascriptInterface
import android.webkit.WebResourceRequest
import android.webkit.WebView
import android.webkit.WebViewClient
import org.json.JSONObject

/**
 * Shows the hosted PIN page. The extra "url" is the set_pin_url that your server got from the issuing API; the result's
 * extra "type" is the event with which the page ended. Your server asks the issuer API what has really become of it.
 */
class PinActivity : Activity() {
    @SuppressLint("SetJavaScriptEnabled")
    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        window.addFlags(WindowManager.LayoutParams.FLAG_SECURE) // not on screenshots
        val page = Uri.parse(requireNotNull(intent.getStringExtra("url")))
        val view = WebView(this)
        view.settings.javaScriptEnabled = true
        view.addJavascriptInterface(Events(), "PinVaultAndroid")
        view.webViewClient = object : WebViewClient() {
            // Other pages have no business where this interface is.
            override fun shouldOverrideUrlLoading(view: WebView, request: WebResourceRequest) =
                request.url.scheme != page.scheme || request.url.authority != page.authority
        }
        setContentView(view)
        view.loadUrl(page.toString())
    }

    private inner class Events {
        // Called on a thread of the web view.
        @JavascriptInterface
        fun onEvent(json: String) = runOnUiThread { heard(JSONObject(json)) }
    }

    private fun heard(event: JSONObject) {
        val type = event.getString("type")
        when {
            type == "success" -> end(RESULT_OK, type)
            type == "cancel" || type == "expired" -> end(RESULT_CANCELED, type)
            // After "unavailable" the page offers to try again.
            type == "failure" && event.getString("code") != "unavailable" -> end(RESULT_CANCELED, type)
        }
    }

    private fun end(result: Int, type: String) {
        setResult(result, Intent().putExtra("type", type))
        finish()
    }
}
