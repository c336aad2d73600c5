/** Null for bytes that are no UTF-8 text. A byte order mark stays. */
export function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(bytes);
  } catch {
    // The caller turns null into an issue with the file's name.
    return null;
  }
}
