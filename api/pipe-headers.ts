import type {Metadata} from '../runtime/pipe/parties.ts';

type Field = readonly [name: string, value: string];

export interface ReceiverWishes {
  /** Null where the request does not say. */
  readonly download: boolean | null;
  readonly filename: string | null;
  /** The last segment of the path serves where nobody gave a name. */
  readonly path: string;
}

const maxNoteBytes = 8 * 1024;
const maxFilenameLength = 255;
const noteNames = {'x-piping': 'X-Piping', 'x-hoody-pipe': 'X-Hoody-Pipe'} as const;
const transferIdField = 'X-Hoody-Pipe-Transfer-Id';

/** Everything a receiver is told of the bytes. Of the sender's words only what is safe in a browser gets through. */
export function receivedFields(metadata: Metadata, transferId: string, wishes: ReceiverWishes): Field[] {
  const type = safeContentType(metadata.contentType);
  const disposition = dispositionOf(metadata.contentDisposition, type, wishes);
  const notes = notesOf(metadata);
  return [
    ['Content-Type', type],
    ...(disposition === null ? [] : [['Content-Disposition', disposition] as const]),
    ...notes,
    [transferIdField, transferId],
    ['Access-Control-Expose-Headers', [transferIdField, ...notes.map(([name]) => name)].join(', ')],
    ['X-Content-Type-Options', 'nosniff'],
    ['X-Robots-Tag', 'none'],
    ['Cache-Control', 'no-store'],
  ];
}

/** `X-Piping` and its like, as the request has them. */
export function senderNotes(fields: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  return new Map(
    Object.keys(noteNames).flatMap((name): [string, string][] => {
      const value = fields.get(name);
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

/** Of `multipart/form-data`; null of all else. */
export function boundaryOf(contentType: string | undefined): string | null {
  const [, quoted, plain] =
    /^multipart\/form-data\s*;.*?\bboundary=(?:"([^"\r\n]{1,70})"|([^\s";,]{1,70}))/i.exec(
      contentType ?? '',
    ) ?? [];
  return quoted ?? plain ?? null;
}

function notesOf({notes}: Metadata): Field[] {
  return Object.entries(noteNames).flatMap(([key, name]): Field[] => {
    const value = notes.get(key)?.replace(/[\r\n]/g, '');
    return value === undefined || value.length > maxNoteBytes ? [] : [[name, value]];
  });
}

const opaqueType = 'application/octet-stream';

/** Types that a browser runs, or that hold such, become text; of the parameters a plain charset stays. */
export function safeContentType(sent: string | null): string {
  const [, type = ''] =
    /^\s*([!#$%&'*+.^_`|~0-9a-z-]+\/[!#$%&'*+.^_`|~0-9a-z-]+)\s*(?:;|$)/i.exec(sent ?? '') ?? [];
  if (type === '') return opaqueType;
  const lower = type.toLowerCase();
  const safe = isActive(lower) ? 'text/plain' : lower;
  const charset = /;\s*charset\s*=\s*"?(utf-8|us-ascii|iso-8859-1)"?\s*(?:;|$)/i.exec(sent ?? '')?.[1];
  return charset === undefined ? safe : `${safe}; charset=${charset.toLowerCase()}`;
}

function isActive(type: string): boolean {
  return (
    /^(?:text\/(?:html|xml|xsl)|application\/xml)$/.test(type) ||
    /^(?:multipart\/|message\/)/.test(type) ||
    type.endsWith('+xml') ||
    /(?:java|ecma|live|j|vb)script|x-mixed-replace/.test(type)
  );
}

/** What a browser shows without running anything. */
function isShowable(type: string): boolean {
  const [plain = ''] = type.split(';', 1);
  return (
    /^(?:image|audio|video)\/(?!svg)/.test(plain) || plain === 'text/plain' || plain === 'application/pdf'
  );
}

function dispositionOf(
  sent: string | null,
  type: string,
  {download, filename, path}: ReceiverWishes,
): string | null {
  if (download === false) return null;
  if (filename !== null) return attachment(safeFilename(filename));
  const sentName = sent === null ? null : filenameIn(sent);
  if (download === true) return attachment(sentName ?? lastSegment(path));
  if (sent === null) return null;
  const isInline = /^\s*inline\s*(?:;|$)/i.test(sent) && isShowable(type);
  return withFilename(isInline ? 'inline' : 'attachment', sentName ?? '');
}

function attachment(name: string): string {
  return withFilename('attachment', name);
}

/** RFC 6266: the plain form for all, the encoded one where it says more. */
function withFilename(kind: 'attachment' | 'inline', name: string): string {
  if (name === '') return kind;
  const ascii = name.replace(/[^ -~]/g, '_').replace(/["%]/g, '_');
  const plain = `${kind}; filename="${ascii}"`;
  return ascii === name ? plain : `${plain}; filename*=UTF-8''${encodeRfc5987(name)}`;
}

function encodeRfc5987(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** Null where the header names no file. Header text is latin1; many clients put UTF-8 into it. */
function filenameIn(header: string): string | null {
  const encoded = /;\s*filename\*\s*=\s*utf-8'[^']*'([^\s;]+)/i.exec(header)?.[1];
  if (encoded !== undefined) {
    const decoded = decodedOrNull(encoded);
    if (decoded !== null) return safeFilename(decoded);
  }
  const [, quoted, plain] = /;\s*filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))/i.exec(header) ?? [];
  const name = quoted?.replace(/\\(.)/g, '$1') ?? plain;
  return name === undefined ? null : safeFilename(utf8Of(name));
}

function utf8Of(latin1: string): string {
  try {
    return new TextDecoder('utf-8', {fatal: true}).decode(Buffer.from(latin1, 'latin1'));
  } catch {
    // Then it was meant as it stands.
    return latin1;
  }
}

function lastSegment(path: string): string {
  const segment = path.split('/').findLast((part) => part !== '') ?? '';
  return safeFilename(decodedOrNull(segment) ?? segment);
}

function decodedOrNull(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    // Not percent-encoding.
    return null;
  }
}

function safeFilename(name: string): string {
  return [...name.replace(/[\p{Cc}\p{Bidi_Control}\\/]/gu, '').replace(/^\.+/, '')]
    .slice(0, maxFilenameLength)
    .join('');
}
