/** A plain text message. Addresses are bare. */
export interface Mail {
  readonly from: string;
  readonly to: readonly string[];
  readonly subject: string;
  readonly text: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Resolves when the server has taken the message; throws what it or the network says. */
export type MailDelivery = (mail: Mail) => Promise<void>;

/** A server that does not answer must not hold messages back for ever. */
const timeoutMs = 30_000;

/** Sends by SMTP: `smtp://[user:password@]host[:port]`, or `smtps:` for TLS from the first byte. Loads its library with the first message. */
export function smtpDelivery(url: string): MailDelivery {
  return async ({headers, to, ...mail}) => {
    const {createTransport} = await import('nodemailer');
    const times = {connectionTimeout: timeoutMs, greetingTimeout: timeoutMs, socketTimeout: timeoutMs};
    const transport = createTransport({url, ...times, disableFileAccess: true, disableUrlAccess: true});
    try {
      await transport.sendMail({...mail, to: [...to], headers: {...headers}});
    } finally {
      transport.close();
    }
  };
}
