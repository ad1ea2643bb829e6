#ifndef WEIR_TESTS_GATEWAY_HTTP_CLIENT_H_
#define WEIR_TESTS_GATEWAY_HTTP_CLIENT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "boost/asio/buffer.hpp"
#include "boost/asio/io_context.hpp"
#include "boost/asio/ip/tcp.hpp"
#include "boost/asio/write.hpp"
#include "boost/beast/core/flat_buffer.hpp"
#include "boost/beast/http.hpp"

namespace weir {

// A client of an HTTP server on this machine: waits for what it reads.
class HttpClient {
 public:
  using Response =
      boost::beast::http::response<boost::beast::http::string_body>;

  explicit HttpClient(uint16_t port) : socket_(context_) {
    boost::system::error_code error;
    socket_.connect({boost::asio::ip::address_v4::loopback(), port}, error);
  }

  // Sends these bytes; false once the server is gone.
  bool Send(std::string_view bytes) {
    boost::system::error_code error;
    boost::asio::write(socket_, boost::asio::buffer(bytes.data(), bytes.size()),
                       error);
    return !error;
  }
  bool Request(std::string_view method, std::string_view target,
               std::string_view body = "", std::string_view fields = "") {
    return Send(absl::StrCat(
        std::string(method), " ", std::string(target),
        " HTTP/1.1\r\nhost: localhost\r\n", std::string(fields),
        body.empty() && method == "GET"
            ? ""
            : absl::StrCat("content-length: ", body.size(), "\r\n"),
        "\r\n", std::string(body)));
  }
  // The next answer, with all of its parts; of status 0 if the server has cut
  // it off or sends none.
  Response Read(bool to_head = false) {
    boost::beast::http::response_parser<boost::beast::http::string_body> parser;
    parser.skip(to_head);
    parser.body_limit(64 << 20);
    boost::system::error_code error;
    boost::beast::http::read(socket_, buffer_, parser, error);
    if (error) {
      Response cut;
      cut.result(0u);
      cut.body() = parser.get().body();
      return cut;
    }
    return parser.release();
  }
  // The head of the next answer, whose body is then read piece by piece.
  const Response& ReadHead() {
    boost::system::error_code error;
    parser_.emplace();
    parser_->body_limit(64 << 20);
    boost::beast::http::read_header(socket_, buffer_, *parser_, error);
    if (error) parser_->get().result(0u);
    return parser_->get();
  }
  const Response& head() const { return parser_->get(); }
  // What has come of the body.
  const std::string& body() const { return parser_->get().body(); }
  // Waits for more of it; false at its end, or once the server is gone.
  bool ReadMore() {
    boost::system::error_code error;
    if (parser_->is_done()) return false;
    boost::beast::http::read_some(socket_, buffer_, *parser_, error);
    return !error;
  }
  // Whether the body came whole.
  bool IsWhole() const { return parser_->is_done(); }
  // All bytes up to and with the first `last`, or until the server is gone.
  std::string ReadUntil(std::string_view last) {
    std::string text;
    boost::system::error_code error;
    for (;;) {
      while (buffer_.size() > 0) {
        text.push_back(*static_cast<const char*>(buffer_.data().data()));
        buffer_.consume(1);
        if (std::string_view(text).ends_with(last)) return text;
      }
      const size_t size = socket_.read_some(buffer_.prepare(64 << 10), error);
      if (error) return text;
      buffer_.commit(size);
    }
  }
  // Whether the server has closed; drops what it sends before.
  bool IsClosed() {
    char bytes[4096];
    boost::system::error_code error;
    while (!error) socket_.read_some(boost::asio::buffer(bytes), error);
    return true;
  }
  // Sends no more, and goes on reading.
  void EndSending() {
    boost::system::error_code error;
    socket_.shutdown(boost::asio::ip::tcp::socket::shutdown_send, error);
  }
  void Close() {
    boost::system::error_code error;
    socket_.close(error);
  }

 private:
  boost::asio::io_context context_;
  boost::asio::ip::tcp::socket socket_;
  boost::beast::flat_buffer buffer_;
  std::optional<
      boost::beast::http::response_parser<boost::beast::http::string_body>>
      parser_;
};

// Takes requests on a port of this machine, one after another.
class HttpSink {
 public:
  using Request = boost::beast::http::request<boost::beast::http::string_body>;

  HttpSink()
      : acceptor_(context_, {boost::asio::ip::address_v4::loopback(), 0}) {}

  uint16_t port() const { return acceptor_.local_endpoint().port(); }
  // Waits for the next request, and answers 200.
  Request Next() {
    boost::asio::ip::tcp::socket socket(context_);
    boost::beast::flat_buffer buffer;
    Request request;
    boost::system::error_code error;
    acceptor_.accept(socket, error);
    boost::beast::http::read(socket, buffer, request, error);
    constexpr std::string_view kOk =
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    boost::asio::write(socket, boost::asio::buffer(kOk.data(), kOk.size()),
                       error);
    return request;
  }

 private:
  boost::asio::io_context context_;
  boost::asio::ip::tcp::acceptor acceptor_;
};

// One request on a connection of its own.
inline HttpClient::Response Fetch(uint16_t port, std::string_view method,
                                  std::string_view target,
                                  std::string_view body = "",
                                  std::string_view fields = "") {
  HttpClient client(port);
  client.Request(method, target, body, fields);
  return client.Read(method == "HEAD");
}

}  // namespace weir

#endif  // WEIR_TESTS_GATEWAY_HTTP_CLIENT_H_
