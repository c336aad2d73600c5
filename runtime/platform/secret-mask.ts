/** Takes secrets out of what a process writes before anybody keeps or reads it. */
export interface SecretMask {
  /** `cutStart` and `cutEnd`: the text was cut there, perhaps inside a secret. */
  text(text: string, cut?: {readonly cutStart?: boolean; readonly cutEnd?: boolean}): string;
  /** For text that comes in pieces: what may be the beginning of a secret is held back until it is known. */
  stream(): MaskedStream;
}

export interface MaskedStream {
  push(text: string): string;
  /** What was held back. */
  end(): string;
}

export const maskedText = '***';

/** Shorter ones would take innocent text with them. */
export const shortestSecretLength = 6;

/** Parts of a secret that stand at a cut count from this length on. */
const shortestPartLength = 4;

/**
 * Finds the values as they are, each of their longer lines, and the forms that URLs, JSON and base64 give them.
 * Without values everything passes as it is.
 */
export function createSecretMask(values: readonly string[]): SecretMask {
  // The longest first, so that no part of a secret is left because another secret is in it.
  const forms = [...new Set(values.flatMap(formsOf))].sort((a, b) => b.length - a.length);
  if (forms.length === 0) return plain;
  const pattern = new RegExp(forms.map(escapePattern).join('|'), 'g');
  const mask = (text: string) => text.replace(pattern, maskedText);

  return {
    text(text, {cutStart = false, cutEnd = false} = {}) {
      const masked = mask(text);
      const start = cutStart ? longest(forms, (form) => endingAtStart(masked, form)) : 0;
      const end = cutEnd ? longest(forms, (form) => beginningAtEnd(masked, form)) : 0;
      return [
        start >= shortestPartLength ? maskedText : masked.slice(0, start),
        masked.slice(start, masked.length - end),
        end >= shortestPartLength ? maskedText : masked.slice(masked.length - end),
      ].join('');
    },
    stream() {
      let held = '';
      return {
        push(text) {
          const masked = mask(held + text);
          const length = longest(forms, (form) => beginningAtEnd(masked, form));
          held = masked.slice(masked.length - length);
          return masked.slice(0, masked.length - length);
        },
        end() {
          const rest = held;
          held = '';
          return rest;
        },
      };
    },
  };
}

const plain: SecretMask = {
  text: (text) => text,
  stream: () => ({push: (text) => text, end: () => ''}),
};

function formsOf(value: string): string[] {
  const lines = value.split(/\r?\n/);
  const texts = lines.length === 1 ? lines : [value, ...lines];
  const forms = texts.flatMap((text) => [
    text,
    encodeURIComponent(text.toWellFormed()),
    JSON.stringify(text).slice(1, -1),
    Buffer.from(text).toString('base64').replace(/=+$/, ''),
  ]);
  return forms.filter((form) => form.length >= shortestSecretLength);
}

/** How many characters at the end of `text` are the beginning, but not all, of `form`. */
function beginningAtEnd(text: string, form: string): number {
  for (let length = Math.min(text.length, form.length - 1); length > 0; length -= 1)
    if (text.endsWith(form.slice(0, length))) return length;
  return 0;
}

/** How many characters at the start of `text` are the end, but not all, of `form`. */
function endingAtStart(text: string, form: string): number {
  for (let length = Math.min(text.length, form.length - 1); length > 0; length -= 1)
    if (text.startsWith(form.slice(form.length - length))) return length;
  return 0;
}

function longest(forms: readonly string[], lengthOf: (form: string) => number): number {
  return forms.reduce((most, form) => Math.max(most, lengthOf(form)), 0);
}

function escapePattern(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}
