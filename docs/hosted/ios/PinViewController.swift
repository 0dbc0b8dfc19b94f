import UIKit
import WebKit

/// Shows the hosted PIN page. `page` is the set_pin_url that your server got from the issuing API, and `ended` is called
/// with the event with which the page ended. Your server asks the issuer API what has really become of it.
final class PinViewController: UIViewController, WKScriptMessageHandler, WKNavigationDelegate {
    private let page: URL
    private let ended: (String) -> Void
    private lazy var browser = WKWebView(frame: .zero, configuration: configuration())

    init(page: URL, ended: @escaping (String) -> Void) {
        self.page = page
        self.ended = ended
        super.init(nibName: nil, bundle: nil)
    }

    @available(*, unavailable)
    required init?(coder: NSCoder) { nil }

    private func configuration() -> WKWebViewConfiguration {
        let configuration = WKWebViewConfiguration()
        configuration.websiteDataStore = .nonPersistent()
        configuration.userContentController.add(self, name: "pinvault")
        return configuration
    }

    override func loadView() {
        browser.navigationDelegate = self
        browser.load(URLRequest(url: page))
        view = browser
    }

    // The handler keeps this controller alive as long as it is there.
    override func viewDidDisappear(_ animated: Bool) {
        super.viewDidDisappear(animated)
        browser.configuration.userContentController.removeScriptMessageHandler(forName: "pinvault")
    }

    func userContentController(_ controller: WKUserContentController, didReceive message: WKScriptMessage) {
        guard message.frameInfo.isMainFrame, message.frameInfo.securityOrigin.host == page.host,
              let event = message.body as? [String: Any], let type = event["type"] as? String else { return }
        switch type {
        case "success", "cancel", "expired":
            ended(type)
        case "failure" where event["code"] as? String != "unavailable": // after which the page offers to try again
            ended(type)
        default:
            break
        }
    }

    // Other pages have no business where this handler is.
    func webView(_ webView: WKWebView, decidePolicyFor action: WKNavigationAction, decisionHandler: @escaping (WKNavigationActionPolicy) -> Void) {
        let url = action.request.url
        decisionHandler(url?.scheme == page.scheme && url?.host == page.host && url?.port == page.port ? .allow : .cancel)
    }
}
