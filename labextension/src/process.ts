/** Which process of a kernel a message is of: after a restart there is another one. */
import { KernelMessage } from '@jupyterlab/services';

/** What a server says of a kernel, where it does not say it in the page's session. */
const OF_SERVER: ReadonlySet<string> = new Set(['restarting', 'autorestarting', 'dead']);

/**
 * The process behind a kernel connection, told by the session in what it says. A restart that
 * another page asked for may be over before this one is connected again, so that nothing else tells
 * of it.
 */
export class KernelProcess {
  /** `clientId`: the page's own session, in which a server speaks for itself to this page. */
  constructor(clientId: string) {
    this._clientId = clientId;
  }

  /** Whether a message is of the process that is known, of a former one, or of a new one. */
  of(message: KernelMessage.IIOPubMessage): 'this' | 'former' | 'new' {
    const { session } = message.header;
    const isOfServer =
      session === this._clientId ||
      (KernelMessage.isStatusMsg(message) && OF_SERVER.has(message.content.execution_state));
    if (isOfServer || !session || session === this._session) {
      return 'this';
    }
    if (this._formerly.has(session)) {
      return 'former';
    }
    const before = this._session;
    this._session = session;
    if (before === null) {
      return 'this';
    }
    this._formerly.add(before);
    return 'new';
  }

  private readonly _clientId: string;
  private _session: string | null = null;
  private readonly _formerly = new Set<string>();
}
