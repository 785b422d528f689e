"""The service: REST, WebSocket and page over one released bundle."""
