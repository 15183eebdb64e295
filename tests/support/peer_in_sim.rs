//! A node of the simulator that sends what it is given and keeps what it gets, without any transaction.

use sipkit::{
    message::{Limits, Message, Request, Response, UriBuf},
    stack::{Cx, Failure, RequestId, TransactionUser},
    transaction::ServerId,
    transport::{Flow, FlowError},
};

/// See the module's description.
#[derive(Default)]
pub struct Plain {
    pub got: Vec<(Message, Flow)>,
    /// The flow found by [`Plain::reach`].
    pub flow: Option<Flow>,
    pub lost: Vec<Flow>,
}

impl Plain {
    /// Finds or opens a flow to a URI.
    pub fn reach(&mut self, uri: &str, cx: &mut Cx<'_>) {
        cx.route(UriBuf::parse(uri).expect("a URI"));
    }

    /// Sends a message by the flow that was found.
    pub fn send(&mut self, text: impl Into<String>, cx: &mut Cx<'_>) {
        cx.forward(self.flow.expect("a flow"), text.into().into());
    }

    /// Answers the last request.
    pub fn answer(&mut self, status: u16, cx: &mut Cx<'_>) {
        let (request, flow) = self.got.last().expect("a request");
        let text = String::from_utf8_lossy(request.bytes()).into_owned();
        let (_, rest) = text.split_once("\r\n").expect("a line");
        let tagged =
            rest.replacen("To: <sip:bob@biloxi.example>\r\n", "To: <sip:bob@biloxi.example>;tag=b\r\n", 1);
        cx.forward(*flow, format!("SIP/2.0 {status} X\r\n{tagged}").into());
    }

    /// The last message that came, as text.
    #[track_caller]
    pub fn last(&self) -> String {
        let (message, _) = self.got.last().expect("a message");
        String::from_utf8_lossy(message.bytes()).into_owned()
    }
}

impl TransactionUser for Plain {
    fn forwards_request(&mut self, request: &Request, from: Flow, _: &mut Cx<'_>) -> bool {
        self.keep(request.bytes(), from)
    }

    fn forwards_response(&mut self, response: &Response, from: Flow, _: &mut Cx<'_>) -> bool {
        self.keep(response.bytes(), from)
    }

    fn request(&mut self, _: Request, _: Option<ServerId>, _: Flow, _: &mut Cx<'_>) {}

    fn cancel(&mut self, _: ServerId, _: &mut Cx<'_>) {}

    fn response(&mut self, _: Option<RequestId>, _: Response, _: &mut Cx<'_>) {}

    fn failed(&mut self, _: RequestId, why: Failure, _: &mut Cx<'_>) {
        panic!("{why}");
    }

    fn routed(&mut self, _: RequestId, flow: Flow, _: &mut Cx<'_>) {
        self.flow = Some(flow);
    }

    fn deadline(&mut self, _: u64, _: &mut Cx<'_>) {}

    fn flow_lost(&mut self, flow: Flow, _: &FlowError, _: &mut Cx<'_>) {
        self.lost.push(flow);
    }
}

impl Plain {
    fn keep(&mut self, bytes: &[u8], from: Flow) -> bool {
        let bytes = bytes.to_vec().into();
        self.got.push((Message::parse(bytes, &Limits::default()).expect("it was read once"), from));
        true
    }
}
