import {createHash, createHmac, timingSafeEqual} from 'node:crypto';

/** True where `signature`, 64 hex digits, is the HMAC-SHA256 of the body by one of the secrets. Takes the same time whichever it is. */
export function isSigned(body: Uint8Array, signature: string, secrets: readonly string[]): boolean {
  if (!/^[0-9a-f]{64}$/i.test(signature)) return false;
  const presented = Buffer.from(signature, 'hex');
  let matches = false;
  // All are compared, so that the time says nothing of which one it was.
  for (const secret of secrets)
    if (timingSafeEqual(createHmac('sha256', secret).update(body).digest(), presented)) matches = true;
  return matches;
}

/** The same for a forge that sends the secret itself. */
export function isSecret(presented: string, secrets: readonly string[]): boolean {
  let matches = false;
  for (const secret of secrets) if (timingSafeEqual(digest(presented), digest(secret))) matches = true;
  return matches;
}

/** Equal lengths for the comparison, whatever was sent. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
