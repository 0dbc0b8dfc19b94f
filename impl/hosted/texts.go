package hosted

import "strings"

// text is all that the page says in one language. {n}, {m}, {min} and {max} stand for numbers, which
// the page writes as the language does. Tries are by plural category (Unicode CLDR); a category that a
// language does not have is taken from other.
type text struct {
	Dir      string            `json:"-"`
	Title    map[string]string `json:"title"` // by action
	Step     string            `json:"step"`
	Current  field             `json:"current"`
	New      field             `json:"new"`
	NewExact string            `json:"newExact"` // hint where the program allows one length only
	Confirm  field             `json:"confirm"`
	Continue string            `json:"continue"`
	Save     string            `json:"save"`
	Restart  string            `json:"restart"`
	Retry    string            `json:"retry"`
	Busy     string            `json:"busy"`
	Pad      pad               `json:"pad"`
	Errors   map[string]string `json:"errors"`
	Tries    map[string]string `json:"tries"`
	Notices  map[string]notice `json:"notices"`
	NoScript string            `json:"-"`
}

type field struct {
	Label string `json:"label"`
	Hint  string `json:"hint"`
}

type pad struct {
	Show   string `json:"show"`
	Hide   string `json:"hide"`
	Name   string `json:"name"`
	Delete string `json:"delete"`
}

type notice struct {
	Title string `json:"title"`
	Text  string `json:"text"`
}

// texts are the languages that the page speaks, by BCP 47 primary language subtag.
var texts = map[string]text{
	"en": {
		Dir:      "ltr",
		Title:    map[string]string{"set": "Choose your PIN", "reset": "Choose a new PIN", "change": "Change your PIN"},
		Step:     "Step {n} of {m}",
		Current:  field{"Current PIN", "The PIN that you use now."},
		New:      field{"New PIN", "{min} to {max} digits. Avoid dates and simple patterns."},
		NewExact: "{max} digits. Avoid dates and simple patterns.",
		Confirm:  field{"Confirm new PIN", "Enter the new PIN once more."},
		Continue: "Continue", Save: "Save PIN", Restart: "Choose another PIN", Retry: "Try again", Busy: "One moment…",
		Pad: pad{"Show keypad", "Hide keypad", "Keypad", "Delete last digit"},
		Errors: map[string]string{
			"empty":       "Please enter a PIN.",
			"digits":      "A PIN has digits only.",
			"length":      "The PIN must have {min} to {max} digits.",
			"lengthExact": "The PIN must have {max} digits.",
			"mismatch":    "The two PINs are not the same. Please choose your PIN again.",
			"weak_pin":    "This PIN is easy to guess. Please choose another one.",
			"recent_pin":  "You have used this PIN before. Please choose another one.",
			"wrong":       "That is not your current PIN.",
			"unavailable": "We could not reach the server. Please try again.",
		},
		Tries: map[string]string{"one": "{n} try left.", "other": "{n} tries left."},
		Notices: map[string]notice{
			"set":         {"Your PIN is set", "You can use it with your card right away. You may close this page."},
			"reset":       {"Your new PIN is set", "You can use it with your card right away. You may close this page."},
			"change":      {"Your PIN is changed", "You can use it with your card right away. You may close this page."},
			"blocked":     {"Your PIN is blocked", "A wrong PIN was entered too many times. Please contact your card issuer."},
			"expired":     {"This link has expired", "To keep your PIN safe, a link works for a few minutes only. Please go back and ask for a new one."},
			"unusable":    {"This link cannot be used", "It works only once and may have been used already. Please go back and ask for a new one."},
			"card_status": {"Your card cannot take a PIN", "Please contact your card issuer."},
			"insecure":    {"This connection is not secure", "Your PIN can only be protected over https. Please go back to your card issuer's app or website and open this page from there."},
			"unavailable": {"Something went wrong", "We could not reach the server. Please try again in a moment."},
		},
		NoScript: "Please switch JavaScript on: this page encrypts your PIN before it leaves your device.",
	},
	"ar": {
		Dir:      "rtl",
		Title:    map[string]string{"set": "اختر رقمك السري", "reset": "اختر رقمًا سريًا جديدًا", "change": "تغيير الرقم السري"},
		Step:     "الخطوة {n} من {m}",
		Current:  field{"الرقم السري الحالي", "الرقم السري الذي تستخدمه الآن."},
		New:      field{"الرقم السري الجديد", "من {min} إلى {max} أرقام. تجنّب التواريخ والأنماط البسيطة."},
		NewExact: "{max} أرقام. تجنّب التواريخ والأنماط البسيطة.",
		Confirm:  field{"تأكيد الرقم السري الجديد", "أدخل الرقم السري الجديد مرة أخرى."},
		Continue: "متابعة", Save: "حفظ الرقم السري", Restart: "اختيار رقم آخر", Retry: "إعادة المحاولة", Busy: "لحظة من فضلك…",
		Pad: pad{"إظهار لوحة الأرقام", "إخفاء لوحة الأرقام", "لوحة الأرقام", "حذف آخر رقم"},
		Errors: map[string]string{
			"empty":       "يرجى إدخال الرقم السري.",
			"digits":      "يتكوّن الرقم السري من أرقام فقط.",
			"length":      "يجب أن يتكوّن الرقم السري من {min} إلى {max} أرقام.",
			"lengthExact": "يجب أن يتكوّن الرقم السري من {max} أرقام.",
			"mismatch":    "الرقمان غير متطابقين. يرجى اختيار الرقم السري من جديد.",
			"weak_pin":    "هذا الرقم السري سهل التخمين. يرجى اختيار رقم آخر.",
			"recent_pin":  "سبق أن استخدمت هذا الرقم السري. يرجى اختيار رقم آخر.",
			"wrong":       "هذا ليس رقمك السري الحالي.",
			"unavailable": "تعذّر الاتصال بالخادم. يرجى إعادة المحاولة.",
		},
		Tries: map[string]string{"one": "بقيت محاولة واحدة.", "two": "بقيت محاولتان.", "few": "بقيت {n} محاولات.", "many": "بقيت {n} محاولة.", "other": "بقيت {n} محاولة."},
		Notices: map[string]notice{
			"set":         {"تم تعيين رقمك السري", "يمكنك استخدامه مع بطاقتك الآن. يمكنك إغلاق هذه الصفحة."},
			"reset":       {"تم تعيين رقمك السري الجديد", "يمكنك استخدامه مع بطاقتك الآن. يمكنك إغلاق هذه الصفحة."},
			"change":      {"تم تغيير رقمك السري", "يمكنك استخدامه مع بطاقتك الآن. يمكنك إغلاق هذه الصفحة."},
			"blocked":     {"تم حظر رقمك السري", "أُدخل رقم سري خاطئ مرات كثيرة. يرجى التواصل مع الجهة المُصدرة لبطاقتك."},
			"expired":     {"انتهت صلاحية هذا الرابط", "حفاظًا على رقمك السري، يعمل الرابط لبضع دقائق فقط. يرجى الرجوع وطلب رابط جديد."},
			"unusable":    {"لا يمكن استخدام هذا الرابط", "يعمل الرابط مرة واحدة فقط وربما سبق استخدامه. يرجى الرجوع وطلب رابط جديد."},
			"card_status": {"لا يمكن تعيين رقم سري لبطاقتك", "يرجى التواصل مع الجهة المُصدرة لبطاقتك."},
			"insecure":    {"هذا الاتصال غير آمن", "لا يمكن حماية رقمك السري إلا عبر https. يرجى الرجوع إلى تطبيق الجهة المُصدرة لبطاقتك أو موقعها وفتح هذه الصفحة من هناك."},
			"unavailable": {"حدث خطأ ما", "تعذّر الاتصال بالخادم. يرجى إعادة المحاولة بعد قليل."},
		},
		NoScript: "يرجى تفعيل JavaScript: تقوم هذه الصفحة بتشفير رقمك السري قبل أن يغادر جهازك.",
	},
	"hi": {
		Dir:      "ltr",
		Title:    map[string]string{"set": "अपना पिन चुनें", "reset": "नया पिन चुनें", "change": "अपना पिन बदलें"},
		Step:     "चरण {n} / {m}",
		Current:  field{"मौजूदा पिन", "वह पिन जिसका आप अभी उपयोग करते हैं।"},
		New:      field{"नया पिन", "{min} से {max} अंक। तारीखों और आसान क्रम से बचें।"},
		NewExact: "{max} अंक। तारीखों और आसान क्रम से बचें।",
		Confirm:  field{"नए पिन की पुष्टि करें", "नया पिन एक बार फिर दर्ज करें।"},
		Continue: "आगे बढ़ें", Save: "पिन सहेजें", Restart: "दूसरा पिन चुनें", Retry: "फिर से कोशिश करें", Busy: "एक क्षण…",
		Pad: pad{"कीपैड दिखाएँ", "कीपैड छिपाएँ", "कीपैड", "अंतिम अंक हटाएँ"},
		Errors: map[string]string{
			"empty":       "कृपया पिन दर्ज करें।",
			"digits":      "पिन में केवल अंक होते हैं।",
			"length":      "पिन में {min} से {max} अंक होने चाहिए।",
			"lengthExact": "पिन में {max} अंक होने चाहिए।",
			"mismatch":    "दोनों पिन एक जैसे नहीं हैं। कृपया अपना पिन फिर से चुनें।",
			"weak_pin":    "इस पिन का अनुमान लगाना आसान है। कृपया दूसरा पिन चुनें।",
			"recent_pin":  "आप यह पिन पहले इस्तेमाल कर चुके हैं। कृपया दूसरा पिन चुनें।",
			"wrong":       "यह आपका मौजूदा पिन नहीं है।",
			"unavailable": "सर्वर से संपर्क नहीं हो सका। कृपया फिर से कोशिश करें।",
		},
		Tries: map[string]string{"one": "{n} प्रयास शेष है।", "other": "{n} प्रयास शेष हैं।"},
		Notices: map[string]notice{
			"set":         {"आपका पिन सेट हो गया है", "आप इसे अपने कार्ड के साथ तुरंत उपयोग कर सकते हैं। अब आप यह पेज बंद कर सकते हैं।"},
			"reset":       {"आपका नया पिन सेट हो गया है", "आप इसे अपने कार्ड के साथ तुरंत उपयोग कर सकते हैं। अब आप यह पेज बंद कर सकते हैं।"},
			"change":      {"आपका पिन बदल गया है", "आप इसे अपने कार्ड के साथ तुरंत उपयोग कर सकते हैं। अब आप यह पेज बंद कर सकते हैं।"},
			"blocked":     {"आपका पिन ब्लॉक है", "गलत पिन बहुत बार दर्ज किया गया। कृपया अपने कार्ड जारीकर्ता से संपर्क करें।"},
			"expired":     {"यह लिंक समाप्त हो गया है", "आपके पिन की सुरक्षा के लिए लिंक केवल कुछ मिनट काम करता है। कृपया वापस जाकर नया लिंक माँगें।"},
			"unusable":    {"इस लिंक का उपयोग नहीं किया जा सकता", "यह केवल एक बार काम करता है और शायद पहले ही उपयोग हो चुका है। कृपया वापस जाकर नया लिंक माँगें।"},
			"card_status": {"आपके कार्ड पर पिन सेट नहीं हो सकता", "कृपया अपने कार्ड जारीकर्ता से संपर्क करें।"},
			"insecure":    {"यह कनेक्शन सुरक्षित नहीं है", "आपके पिन की सुरक्षा केवल https पर हो सकती है। कृपया अपने कार्ड जारीकर्ता के ऐप या वेबसाइट पर वापस जाएँ और यह पेज वहाँ से खोलें।"},
			"unavailable": {"कुछ गड़बड़ हो गई", "सर्वर से संपर्क नहीं हो सका। कृपया थोड़ी देर बाद फिर से कोशिश करें।"},
		},
		NoScript: "कृपया JavaScript चालू करें: यह पेज आपका पिन आपके डिवाइस से निकलने से पहले एन्क्रिप्ट करता है।",
	},
}

// language chooses of the languages offered, which are in order of preference, one that the page
// speaks: the one asked for, else the first that the browser accepts, else the first. wanted and the
// parts of accept are BCP 47 tags, of which the primary language counts.
func language(offered []string, wanted, accept string) string {
	var spoken []string
	for _, tag := range offered {
		if _, ok := texts[primary(tag)]; ok {
			spoken = append(spoken, primary(tag))
		}
	}
	if len(spoken) == 0 {
		return "en"
	}
	for _, tag := range append([]string{wanted}, strings.Split(accept, ",")...) {
		tag, _, _ = strings.Cut(tag, ";")
		for _, s := range spoken {
			if primary(tag) == s {
				return s
			}
		}
	}
	return spoken[0]
}

// primary is the primary language of a tag: ar for ar-AE.
func primary(tag string) string {
	tag, _, _ = strings.Cut(strings.TrimSpace(tag), "-")
	return strings.ToLower(tag)
}
