import {createServer, type Socket} from 'node:net';
import type {ExecutionContext} from 'ava';

export interface ReceivedMail {
  readonly from: string;
  readonly to: readonly string[];
  /** Headers, an empty line and the body, lines ended by LF. */
  readonly data: string;
}

export interface SmtpSink {
  readonly url: string;
  /** Resolves with the next message. */
  next(): Promise<ReceivedMail>;
  /** Answers so many of the next connections with a refusal. */
  refuse(connections: number): void;
}

/** A mail server that keeps what it gets: the part of RFC 5321 that a client needs who has one message. */
export async function createSmtpSink(t: ExecutionContext): Promise<SmtpSink> {
  const mails: ReceivedMail[] = [];
  const waiting: ((mail: ReceivedMail) => void)[] = [];
  let refusals = 0;
  const server = createServer((socket) => {
    refusals -= 1;
    if (refusals >= 0) {
      socket.end('421 not now\r\n');
      return;
    }
    converse(socket, (mail) => {
      const first = waiting.shift();
      if (first === undefined) mails.push(mail);
      else first(mail);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : null;
  return {
    url: `smtp://127.0.0.1:${port}`,
    next() {
      const mail = mails.shift();
      return mail === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(mail);
    },
    refuse(connections) {
      refusals = connections;
    },
  };
}

function converse(socket: Socket, take: (mail: ReceivedMail) => void): void {
  let text = '';
  let from = '';
  let to: string[] = [];
  let data: string[] | null = null;
  const answer = (line: string) => socket.write(`${line}\r\n`);

  function onLine(line: string): void {
    if (data !== null) {
      if (line !== '.') {
        data.push(line.replace(/^\./, ''));
        return;
      }
      take({from, to, data: data.join('\n')});
      data = null;
      answer('250 taken');
    } else if (/^(?:EHLO|HELO)/i.test(line)) answer('250 sink');
    else if (/^MAIL FROM:/i.test(line)) {
      from = /<(.*?)>/.exec(line)?.[1] ?? '';
      to = [];
      answer('250 ok');
    } else if (/^RCPT TO:/i.test(line)) {
      to.push(/<(.*?)>/.exec(line)?.[1] ?? '');
      answer('250 ok');
    } else if (/^DATA/i.test(line)) {
      data = [];
      answer('354 go on');
    } else if (/^QUIT/i.test(line)) socket.end('221 bye\r\n');
    else answer('250 ok');
  }

  // A client that leaves early has its own reasons.
  socket.on('error', () => {});
  socket.on('data', (chunk) => {
    text += chunk.toString();
    for (let end = text.indexOf('\r\n'); end !== -1; end = text.indexOf('\r\n')) {
      const line = text.slice(0, end);
      text = text.slice(end + 2);
      onLine(line);
    }
  });
  answer('220 sink');
}
