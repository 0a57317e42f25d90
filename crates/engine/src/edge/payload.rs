//! Payloads: as the API carries them, and as core keeps them. Neither side is parsed.

use bytes::Bytes;
use serde_json::value::RawValue;
use stint_api::Payload;
use stint_core::model::{Payload as Kept, Stored};

/// What core keeps of a payload.
pub(crate) fn kept(payload: Payload) -> Kept {
    match payload {
        Payload::Json(json) => {
            let text: Box<str> = json.into();
            Kept { bytes: String::from(text).into(), content_type: None }
        }
        Payload::Bytes { bytes, content_type } => Kept { bytes, content_type: Some(content_type) },
    }
}

/// The payload of these bytes.
pub(crate) fn shown(bytes: Bytes, content_type: Option<&str>) -> Payload {
    if let Some(content_type) = content_type {
        return Payload::bytes(bytes, content_type);
    }
    match String::from_utf8(bytes.into()).map(RawValue::from_string) {
        Ok(Ok(json)) => Payload::Json(json),
        // What came in as JSON goes out as JSON: only a damaged record ends here, and it is shown as it is.
        Ok(Err(_)) => Payload::null(),
        Err(damaged) => Payload::bytes(damaged.into_bytes(), "application/octet-stream"),
    }
}

/// The payload of a stored one, with the bytes that stand apart if there are such.
pub(crate) fn stored(stored: &Stored, apart: Option<Bytes>) -> Payload {
    let bytes = stored.inline.clone().or(apart).unwrap_or_default();
    shown(bytes, stored.content_type.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_come_out_as_they_went_in() {
        let all: Vec<u8> = (0..=255).collect();
        for payload in [
            Payload::null(),
            Payload::Json(RawValue::from_string(r#"{"a": [1.50, 1e3], "b":"\u00e9"}"#.into()).unwrap()),
            Payload::bytes(all, "application/x-all"),
            Payload::bytes("", "text/plain"),
        ] {
            let kept = kept(payload.clone());
            let (inline, apart) = Stored::keep(&kept);
            assert_eq!(stored(&inline, apart), payload);
        }
    }
}
