//! The page's own files, all in the program.

use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::answer::{Refusal, wrong_verb};

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

macro_rules! files {
    ($($path:literal: $kind:ident $file:literal,)*) => {
        const FILES: &[(&str, &str, &str)] =
            &[$(($path, $kind, include_str!(concat!("../../web/", $file)))),*];
    };
}

files! {
    "/": HTML "index.html",
    "/page.css": STYLE "page.css",
    "/icon.svg": IMAGE "icon.svg",
    "/main.js": SCRIPT "main.js",
    "/model.js": SCRIPT "model.js",
    "/colours.js": SCRIPT "colours.js",
    "/heatmap.js": SCRIPT "heatmap.js",
    "/detail.js": SCRIPT "detail.js",
    "/lists.js": SCRIPT "lists.js",
    "/orders.js": SCRIPT "orders.js",
    "/dom.js": SCRIPT "dom.js",
}

/// The file with this path.
pub(super) async fn asset(method: Method, uri: Uri) -> Result<Response, Refusal> {
    let file = FILES.iter().find(|(path, ..)| *path == uri.path());
    let Some((_, kind, text)) = file else {
        return Err(Refusal::not_found("there is nothing at this path"));
    };
    if method != Method::GET && method != Method::HEAD {
        return Err(wrong_verb().await);
    }
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, *kind)], *text).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_holds_inline_code_or_names_another_place() {
        for (path, kind, text) in FILES {
            for sign in
                ["https:", "//cdn", "@import", " style=\"", "onclick=", "innerHTML", "eval("]
            {
                assert!(!text.contains(sign), "{path} contains {sign}");
            }
            // Names of XML, which nobody fetches, are written with http.
            let fetched =
                text.matches("http:").count() - text.matches("http://www.w3.org/").count();
            assert_eq!(fetched, 0, "{path} names another place");
            if *kind == HTML {
                for script in text.split("<script").skip(1) {
                    let (tag, rest) = script.split_once('>').expect("the tag ends");
                    assert!(tag.contains(" src=\"/"), "{path} has an inline script");
                    assert!(rest.starts_with("</script>"), "{path} has an inline script");
                }
                assert!(!text.contains("<style"), "{path} has an inline style");
            }
        }
    }

    #[test]
    fn whatever_a_file_loads_is_served() {
        for (path, kind, text) in FILES {
            let signs: &[&str] =
                if *kind == SCRIPT { &["from \"./"] } else { &["src=\"/", "href=\"/"] };
            for sign in signs {
                for rest in text.split(sign).skip(1) {
                    let name = rest.split('"').next().expect("split gives one");
                    let served = FILES.iter().any(|(path, ..)| path[1..] == *name);
                    assert!(served, "{path} loads {name}");
                }
            }
        }
    }
}
